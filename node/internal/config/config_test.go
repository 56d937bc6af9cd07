package config

import "testing"

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestAddressesFollowFromTheRanges(t *testing.T) {
	c, err := Load(env(map[string]string{"BERTH_DATA": t.TempDir()}))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.HostAddress().String(), c.NodeAddress().String(), c.DNSAddress().String(), c.APIServiceAddress().String()}
	for i, want := range []string{"10.41.0.1", "10.41.0.2", "10.43.0.10", "10.43.0.1"} {
		if got[i] != want {
			t.Errorf("got %s, want %s", got[i], want)
		}
	}
}

func TestTheFirstUpFixesTheSettings(t *testing.T) {
	data := t.TempDir()
	first, err := Load(env(map[string]string{"BERTH_DATA": data, "BERTH_NODE_INSTANCE": "one"}))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Save(); err != nil {
		t.Fatal(err)
	}
	again, err := Load(env(map[string]string{"BERTH_DATA": data, "BERTH_NODE_INSTANCE": "two"}))
	if err != nil || again.Instance != "one" {
		t.Fatalf("got %q, %v", again.Instance, err)
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	for name, value := range map[string]string{
		"BERTH_NODE_INSTANCE": "../x", "BERTH_NODE_LINK": "10.41.0.1/30", "BERTH_POD_CIDR": "fd00::/64", "BERTH_DATA": "relative",
	} {
		values := map[string]string{"BERTH_DATA": t.TempDir()}
		values[name] = value
		if _, err := Load(env(values)); err == nil {
			t.Errorf("%s=%s was accepted", name, value)
		}
	}
}
