# The unit, the users and examples. Where they go can be said to make: systemdsystemunitdir=...
systemdsystemunitdir = $(prefix)/lib/systemd/system
systemdsystemunit_DATA = etc/selvage.service
sysusersdir = $(prefix)/lib/sysusers.d
# The name that sysusers.d wants is given at installation.
examplesdir = $(docdir)/examples
dist_examples_DATA = etc/node.yaml etc/10-selvage.conflist
# Definitions, rights and an example for a Kubernetes cluster.
kubernetesdir = $(pkgdatadir)/kubernetes
dist_kubernetes_DATA = etc/kubernetes/crds.yaml etc/kubernetes/rbac.yaml \
	etc/kubernetes/admission.yaml etc/kubernetes/kubeadm-example.yaml
dist_kubernetes_SCRIPTS = etc/kubernetes/node-kubeconfig.sh
EXTRA_DIST += etc/selvage.service.in etc/selvage.sysusers
CLEANFILES += etc/selvage.service

etc/selvage.service: etc/selvage.service.in Makefile
	@$(MKDIR_P) etc
	$(AM_V_GEN)sed -e 's|@sbindir[@]|$(sbindir)|g' -e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(srcdir)/etc/selvage.service.in > $@.tmp && mv $@.tmp $@

install-data-hook: install-sysusers
uninstall-hook: uninstall-sysusers
install-sysusers:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)'
	$(INSTALL_DATA) $(srcdir)/etc/selvage.sysusers '$(DESTDIR)$(sysusersdir)/selvage.conf'
uninstall-sysusers:
	rm -f '$(DESTDIR)$(sysusersdir)/selvage.conf'
.PHONY: install-sysusers uninstall-sysusers
