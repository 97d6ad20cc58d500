//! What is kept on disk, written off the loop: terms, wishes, history.
