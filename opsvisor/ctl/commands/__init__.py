"""What each command does. A module is imported when one of its commands is called."""
