#include "config.h"

#include "nodectl/nodectl.h"

int main(int argc, char **argv)
{
	return nodectl_main(argc, argv);
}
