"""HOST: which pictures calibrate, which threshold, and what is proven."""
