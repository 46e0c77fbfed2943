//! A client killed again and again in the middle of its upload.
