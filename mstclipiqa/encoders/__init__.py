"""From images and texts to stored features, by frozen encoders and by image statistics."""
