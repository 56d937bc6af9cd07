package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The real program, without a controller: a pod's network must not come up, and must still go away.
func TestWithoutController(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "berth-policy")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	socket := filepath.Join(dir, "policy.sock")
	previous := `,"prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.42.0.5/24"}]}`
	cases := []struct{ name, command, config, want string }{
		{"an ADD fails", "ADD", `"socket":"` + socket + `"` + previous, "does not answer"},
		{"a CHECK fails", "CHECK", `"socket":"` + socket + `"` + previous, "does not answer"},
		{"a DEL succeeds", "DEL", `"socket":"` + socket + `"`, ""},
		{"nothing before it in the chain", "ADD", `"socket":"` + socket + `"`, "must be chained"},
		{"no socket", "ADD", `"type":"berth-policy"` + previous, `no \"socket\"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(program)
			cmd.Stdin = strings.NewReader(`{"cniVersion":"1.0.0","name":"berth","type":"berth-policy","timeoutSeconds":1,` + c.config + `}`)
			cmd.Env = append(os.Environ(),
				"CNI_COMMAND="+c.command, "CNI_CONTAINERID=abc", "CNI_NETNS=/proc/self/ns/net", "CNI_IFNAME=eth0", "CNI_PATH="+dir,
				"CNI_NETNS_OVERRIDE=1", "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=1")
			var out bytes.Buffer
			cmd.Stdout = &out
			err := cmd.Run()
			if failed := err != nil; failed != (c.want != "") || !strings.Contains(out.String(), c.want) {
				t.Errorf("%v: %s", err, fmt.Sprint(out.String()))
			}
		})
	}
}
