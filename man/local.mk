# man pages
dist_man_MANS += man/nodectl.8
dist_man_MANS += man/selvage-node.yaml.5
dist_man_MANS += man/noded.8
dist_man_MANS += man/selvage-cni.8
