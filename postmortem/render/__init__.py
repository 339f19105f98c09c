"""What people look at: charts, the report, the terminal's tree, notebooks and output formats."""
