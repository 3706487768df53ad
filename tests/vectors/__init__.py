"""What a runner in another language has to find, as files of JSON: docs/in-your-app.md says how."""
