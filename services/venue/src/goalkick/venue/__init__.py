"""An exchange in a box: a matching engine behind the wire protocols of real venues."""
