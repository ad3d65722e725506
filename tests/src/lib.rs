//! What crosses rooms: the tests of the whole house. The library itself is empty.
