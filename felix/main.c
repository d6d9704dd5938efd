#include "config.h"

#include "felix/felix.h"

int main(void)
{
	return felix_main();
}
