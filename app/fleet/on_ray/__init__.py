"""A fleet on Ray: nodes, a process of ours on each, and jobs there. Nothing else imports ray."""
