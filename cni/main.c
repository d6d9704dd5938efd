#include "config.h"

#include "cni/plugin.h"

int main(int argc, char **argv)
{
	return cni_plugin(argc ? argv[0] : "selvage");
}
