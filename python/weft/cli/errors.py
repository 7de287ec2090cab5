"""What the commands raise when an option asks for what this machine cannot do."""


class UsageError(Exception):
    """One clear sentence for the user; the command prints it and exits with status 2."""
