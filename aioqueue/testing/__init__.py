"""For tests of programs that use aioqueue."""
