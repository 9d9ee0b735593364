"""The durable record of every part, verdict, gate event and operator act, and the pictures that explain them."""
