"""What tests of every service share. Needs the packages that tests need; never imported by code."""
