"""The whole house, running: GitHub's stand-in, the App and a runner, as processes of their own."""
