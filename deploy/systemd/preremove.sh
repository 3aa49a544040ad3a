#!/bin/sh
set -e
case "$1" in
remove | 0) # not before an upgrade, which restarts the service
  if [ -d /run/systemd/system ]; then
    systemctl disable --now watchingcat.service
  fi
  ;;
esac
