"""One suite per port; each adapter and each fake passes the same one."""
