//! Structural similarity (Wang et al., IEEE TIP 13(4), 2004).
