"""Everything that comes in from outside, stored before it is answered. `store.record` is the door."""
