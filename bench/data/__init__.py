"""Episodes, cached features, batches and class embeddings."""
