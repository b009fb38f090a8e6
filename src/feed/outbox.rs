//! What one peer is still owed.
