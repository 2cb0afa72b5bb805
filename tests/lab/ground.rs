//! The parts that the steps stand on.
