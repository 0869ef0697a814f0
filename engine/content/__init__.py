"""What a message says: templates and their versions, rendering in a sandbox, links, tracking, SMS segments."""
