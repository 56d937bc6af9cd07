package pki

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestACertificateIsRenewedWhenItIsDue(t *testing.T) {
	folder, now := t.TempDir(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	subject := Subject{File: "server", Authority: "ca", CommonName: "server", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	read := func() string {
		text, err := os.ReadFile(filepath.Join(folder, "server.crt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	ensure := func(at time.Time) string {
		if err := Ensure(folder, []Subject{subject}, at); err != nil {
			t.Fatal(err)
		}
		return read()
	}
	first := ensure(now)
	if again := ensure(now.Add(300 * 24 * time.Hour)); again != first {
		t.Error("renewed with 65 days left")
	}
	late := ensure(now.Add(340 * 24 * time.Hour))
	if late == first {
		t.Error("not renewed with 25 days left")
	}
	subject.Addresses = append(subject.Addresses, netip.MustParseAddr("10.0.0.2"))
	if ensure(now.Add(340*24*time.Hour)) == late {
		t.Error("not renewed for a new address")
	}
	info, err := os.Stat(filepath.Join(folder, "server.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode: %v, %v", info.Mode(), err)
	}
}
