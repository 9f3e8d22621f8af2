"""Ansible, run as a tool: playbooks over connections that are open already, or over its own ssh."""
