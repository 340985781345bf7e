"""What several test modules share: made-up data, small models, and ways to run the program."""
