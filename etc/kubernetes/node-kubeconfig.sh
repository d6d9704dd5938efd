#!/bin/sh
# Makes the kubeconfig of one node's noded: a new key, and a client certificate for the user
# selvage:node:NODE signed by the cluster's own CA through a CertificateSigningRequest.
#
#   node-kubeconfig.sh [-d DAYS] [-s SERVER] NODE > NODE.kubeconfig
#
#   -d  how long the certificate lasts, 365 days by default (the signer may give less)
#   -s  the API server, https://host:port; default: that of your kubeconfig. Several of them are named
#       in the node's node.yaml: datastore.servers
#
# Needs openssl and a kubectl that may create and approve requests (cluster-admin). Renew it in the
# same way before it expires: noded reads the new file by itself. NODE is the Node object's name.
set -eu
umask 077
kubectl=${KUBECTL:-kubectl} days=365 server=

say() { printf 'node-kubeconfig: %s\n' "$*" >&2; }
usage() {
	say "usage: node-kubeconfig.sh [-d DAYS] [-s SERVER] NODE > FILE"
	exit 2
}
while getopts d:s: option; do
	case $option in
	d) days=$OPTARG ;;
	s) server=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] && [ -n "$1" ] || usage
node=$1
case $node in *[!a-z0-9.-]*)
	say "\"$node\" is not a node's name (small letters, digits, '-' and '.')"
	exit 2
	;;
esac
case $days in '' | *[!0-9]*) usage ;; esac

dir=$(mktemp -d)
request=selvage-$node-$(openssl rand -hex 4)
trap 'rm -rf "$dir"; "$kubectl" delete csr "$request" --ignore-not-found >/dev/null 2>&1 || true' EXIT
trap 'exit 1' HUP INT TERM

"$kubectl" get node "$node" -o name >/dev/null 2>"$dir/err" ||
	say "warning: the cluster does not show a node \"$node\" (yet): $(cat "$dir/err")"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/key" 2>/dev/null
openssl req -new -key "$dir/key" -subj "/O=selvage:nodes/CN=selvage:node:$node" \
	-out "$dir/csr"
"$kubectl" create -f - >/dev/null <<EOF
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $request}
spec:
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: $((days * 86400))
  usages: [digital signature, client auth]
  request: $(base64 <"$dir/csr" | tr -d '\n')
EOF
"$kubectl" certificate approve "$request" >/dev/null
tries=60
until "$kubectl" get csr "$request" -o 'jsonpath={.status.certificate}' >"$dir/crt" && [ -s "$dir/crt" ]; do
	tries=$((tries - 1))
	if [ $tries -eq 0 ]; then
		say "no certificate after 30 s; is kube-controller-manager running, with the cluster's CA key?"
		exit 1
	fi
	sleep 0.5
done

ca=$("$kubectl" config view --minify --raw --flatten \
	-o 'jsonpath={.clusters[0].cluster.certificate-authority-data}')
[ -n "$server" ] || server=$("$kubectl" config view --minify -o 'jsonpath={.clusters[0].cluster.server}')
if [ -z "$ca" ] || [ -z "$server" ]; then
	say "your kubeconfig names no server or no certificate authority"
	exit 1
fi
cat <<EOF
apiVersion: v1
kind: Config
current-context: kubernetes
clusters:
- name: kubernetes
  cluster:
    server: "$server"
    certificate-authority-data: $ca
contexts:
- name: kubernetes
  context: {cluster: kubernetes, user: "selvage:node:$node"}
users:
- name: "selvage:node:$node"
  user:
    client-certificate-data: $(cat "$dir/crt")
    client-key-data: $(base64 <"$dir/key" | tr -d '\n')
EOF
