package storage

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/api/resource"
)

// blockSize is ext4's and the loop devices'; images are whole blocks.
const blockSize = 4096

// minimumSize leaves room for ext4's own structures and a journal; maximumSize is ext4's limit with such blocks.
const (
	minimumSize = 8 << 20
	maximumSize = 16 << 40
)

// volumeName is a DNS subdomain without a leading dot, so it is one path element and never a special one. The length leaves room for ".img".
var volumeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,200}[a-z0-9])?$`)

func checkName(name string) error {
	if !volumeName.MatchString(name) {
		return fmt.Errorf("%q is not a volume's name", name)
	}
	return nil
}

// imageSize is the bytes of the disk for a requested quantity: exactly that, up to the next whole block.
func imageSize(requested resource.Quantity) (int64, error) {
	size, exact := requested.AsInt64()
	if !exact && requested.Value() <= 0 {
		return 0, fmt.Errorf("the size %s is out of range", requested.String())
	}
	if !exact {
		size = requested.Value() // a fraction of a byte, rounded up
	}
	if size < minimumSize || size > maximumSize {
		return 0, fmt.Errorf("the size %s is not between 8Mi and 16Ti", requested.String())
	}
	return (size + blockSize - 1) / blockSize * blockSize, nil
}
