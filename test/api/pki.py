"""Keys and certificates for the tests' API server, made by the openssl command."""
import os
import subprocess

DAYS = 30


class Pki:
    """One folder of PEM files: ca.crt (servers and clients), other-ca.crt, and what they sign."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        for ca in ("ca", "other-ca"):
            if not os.path.exists(self.path(ca + ".crt")):
                self._ca(ca)

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def ca(self):
        return self.path("ca.crt")

    @property
    def other_ca(self):
        return self.path("other-ca.crt")

    def _openssl(self, *argv):
        run = subprocess.run(["openssl", *argv], capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"openssl {' '.join(argv)}: {run.stderr.strip()}")
        return run.stdout

    def _key(self, name):
        path = self.path(name + ".key")
        if not os.path.exists(path):
            self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                          "-out", path)
            os.chmod(path, 0o600)
        return path

    def _ca(self, name):
        self._openssl("req", "-x509", "-new", "-key", self._key(name), "-sha256", "-days",
                      str(DAYS), "-subj", "/CN=kubernetes" if name == "ca" else "/CN=another",
                      "-addext", "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign",
                      "-out", self.path(name + ".crt"))

    def sign(self, name, subject, extensions, ca="ca", days=DAYS):
        """Signs a new certificate for name's key (made when missing). (certificate, key)."""
        key, crt = self._key(name), self.path(name + ".crt")
        request, config = self.path(name + ".csr"), self.path(name + ".ext")
        with open(config, "w", encoding="utf-8") as f:
            f.write("[req]\ndistinguished_name = dn\n[dn]\n[ext]\n")
            f.write("keyUsage = critical,digitalSignature,keyEncipherment\n")
            f.write("".join(line + "\n" for line in extensions))
        self._openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        serial = str(int.from_bytes(os.urandom(8), "big") | 1)
        self._openssl("x509", "-req", "-in", request, "-CA", self.path(ca + ".crt"), "-CAkey",
                      self.path(ca + ".key"), "-set_serial", serial, "-days", str(days), "-sha256",
                      "-extfile", config, "-extensions", "ext", "-out", crt + ".new")
        os.rename(crt + ".new", crt)
        os.unlink(request)
        os.unlink(config)
        return crt, key

    def server(self, which, names):
        """A server certificate: good, rotated (the same, signed again with a new key), wrong-host,
        other-ca or expired."""
        if which == "wrong-host":
            names = ["elsewhere.example"]
        sans = ",".join(("IP:" if ":" in n or n.replace(".", "").isdigit() else "DNS:") + n
                        for n in names)
        if which == "rotated":
            for old in (".key", ".crt"):
                if os.path.exists(self.path("server-rotated" + old)):
                    os.unlink(self.path("server-rotated" + old))
        return self.sign("server-" + which, "/CN=kube-apiserver",
                         ["extendedKeyUsage = serverAuth", "subjectAltName = " + sans],
                         ca="other-ca" if which == "other-ca" else "ca",
                         days=-1 if which == "expired" else DAYS)

    def client(self, user, groups=(), ca="ca", days=DAYS):
        """A client certificate: CN is the user, O each group, as Kubernetes reads them."""
        name = "client-" + "".join(c if c.isalnum() or c in "-." else "_" for c in user)
        if ca != "ca" or days < 0:
            name += "-" + (ca if ca != "ca" else "expired")
        subject = "".join(f"/O={escape(g)}" for g in groups) + f"/CN={escape(user)}"
        return self.sign(name, subject, ["extendedKeyUsage = clientAuth"], ca=ca, days=days)


def escape(text):
    return text.replace("\\", "\\\\").replace("/", "\\/")
