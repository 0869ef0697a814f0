"""Read-only answers: what is wrong (`check`), who is meant (`audience`), what would happen (`plan`). Nothing is changed."""
