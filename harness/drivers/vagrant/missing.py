"""What this machine may lack, and how to get it."""

from __future__ import annotations

VAGRANT = "there is no vagrant here"
INSTALL_VAGRANT = "apt-get install vagrant vagrant-libvirt (Debian), or https://developer.hashicorp.com/vagrant/install"
PROVIDER = "there is no provider that could make a machine"
INSTALL_PROVIDER = "apt-get install vagrant-libvirt, `vagrant plugin install` of another one, or VirtualBox"
PACKAGE = "the Python package python-vagrant is missing"
INSTALL_PACKAGE = "pip install 'harness-e2e[vagrant]'"
