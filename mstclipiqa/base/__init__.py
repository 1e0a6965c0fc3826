"""What every room needs: errors, files, documents, vocabulary, and the layout of results. It knows no method."""
