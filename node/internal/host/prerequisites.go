package host

import (
	"errors"
	"os"
	"os/exec"
	"strings"
)

// needed programs and the Debian packages that bring them.
var needed = [][2]string{
	{"ip", "iproute2"}, {"nft", "nftables"}, {"iptables", "iptables"}, {"conntrack", "conntrack"}, {"mkfs.ext4", "e2fsprogs"},
	{"nsenter", "util-linux"}, {"docker-registry", "docker-registry"},
}

// Prerequisites names everything that is missing at once.
func Prerequisites() error {
	if os.Geteuid() != 0 {
		return errors.New("the embedded node needs root")
	}
	var missing []string
	for _, need := range needed {
		if _, err := exec.LookPath(need[0]); err != nil {
			missing = append(missing, need[1])
		}
	}
	if len(missing) > 0 {
		return errors.New("these Debian packages are missing: apt-get install " + strings.Join(missing, " "))
	}
	return nil
}
