package pki

import (
	"crypto/tls"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const day = 24 * time.Hour

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func server() Subject {
	return Subject{
		File: "server", Authority: "ca", CommonName: "server", Organization: []string{"servers"},
		Names: []string{"server.example"}, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")},
	}
}

// ensured is the certificate's text after one more Ensure. What it finds is a pair.
func ensured(t *testing.T, folder string, subject Subject, at time.Time) string {
	t.Helper()
	if err := Ensure(folder, []Subject{subject}, at); err != nil {
		t.Fatal(err)
	}
	certificate, key := filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key")
	if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode: %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestACertificateIsRenewedWhenItIsDue(t *testing.T) {
	remove := func(names ...string) func(*testing.T, string, *Subject) {
		return func(t *testing.T, folder string, _ *Subject) {
			for _, name := range names {
				if err := os.Remove(filepath.Join(folder, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	become := func(change func(*Subject)) func(*testing.T, string, *Subject) {
		return func(_ *testing.T, _ string, subject *Subject) { change(subject) }
	}
	for name, c := range map[string]struct {
		after   time.Duration
		change  func(*testing.T, string, *Subject)
		renewed bool
	}{
		"at once":              {0, nil, false},
		"31 days left":         {334 * day, nil, false},
		"29 days left":         {336 * day, nil, true},
		"ended":                {400 * day, nil, true},
		"an address more":      {0, become(func(s *Subject) { s.Addresses = append(s.Addresses, netip.MustParseAddr("10.0.0.2")) }), true},
		"an address less":      {0, become(func(s *Subject) { s.Addresses = nil }), false},
		"a name more":          {0, become(func(s *Subject) { s.Names = append(s.Names, "other.example") }), true},
		"another common name":  {0, become(func(s *Subject) { s.CommonName = "other" }), true},
		"another organization": {0, become(func(s *Subject) { s.Organization = []string{"others"} }), true},
		"its authority lost":   {0, remove("ca.crt", "ca.key"), true},
		"its key lost":         {0, remove("server.key"), true},
		"cut off while made":   {0, remove("server.crt"), true},
	} {
		t.Run(name, func(t *testing.T) {
			folder, subject := t.TempDir(), server()
			before := ensured(t, folder, subject, start)
			if c.change != nil {
				c.change(t, folder, &subject)
			}
			if after := ensured(t, folder, subject, start.Add(c.after)); (after != before) != c.renewed {
				t.Errorf("renewed: %v", after != before)
			}
		})
	}
}

// A new authority or a new key of the service accounts would end what trusts the old one.
func TestAuthoritiesAndTheTokensKeyStay(t *testing.T) {
	folder := t.TempDir()
	read := func() (all string) {
		for _, name := range []string{"ca.crt", "ca.key", "sa.key", "sa.pub"} {
			text, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			all += string(text)
		}
		return all
	}
	ensured(t, folder, server(), start)
	before := read()
	ensured(t, folder, server(), start.Add(1000*day))
	if read() != before {
		t.Error("they were made again")
	}
}
