"""Read-only answers: what is wrong (`check`), who is meant (`audience`), what would happen (`plan`), what it says (`preview`). Nothing is changed."""
