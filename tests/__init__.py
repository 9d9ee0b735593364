"""The tests; a package so that rooms can share tests/peers."""
