"""Jobs -> stored datasets: store, resume, processes, progress. Knows no stage."""
