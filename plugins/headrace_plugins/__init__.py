"""The plugins that need nothing besides headrace itself. Each takes the road that anybody's plugin takes."""
