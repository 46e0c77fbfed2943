//! What partner tecnologici ask and tell: the price of a notice, a payment, the outcome of a change.
