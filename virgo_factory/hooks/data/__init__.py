"""From dataset_info.json to tables of aligned rows."""
