"""One module per wire format: bytes in, columnar batches of records (or rejected units) out."""
