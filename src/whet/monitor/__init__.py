"""What is watched while models answer; pure: time is an argument, and nobody is asked over a network."""
