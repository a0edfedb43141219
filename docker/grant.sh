#!/bin/sh
# Run once by MySQL's image when it makes the database: the pipeline's user makes its own schemas.
set -eu
MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --user=root <<SQL
GRANT ALL PRIVILEGES ON \`rnn\_%\`.* TO '$MYSQL_USER'@'%';
SQL
