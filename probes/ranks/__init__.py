"""Several devices that train as one: a gang of workers, one per rank, and its one verdict."""
