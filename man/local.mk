# man pages
dist_man_MANS += man/nodectl.8
dist_man_MANS += man/selvage-node.yaml.5
