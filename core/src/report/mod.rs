//! What people read: one renderer per format.
