-- Logins of a new database, run once by the image's entrypoint as its owner. The groups are those of the
-- migrations, which give them their rights (docs/database.md).
\set ON_ERROR_STOP on
\getenv sink_password SINK_DB_PASSWORD
\getenv serve_password SERVE_DB_PASSWORD
\getenv grafana_password GRAFANA_DB_PASSWORD

SELECT format('CREATE ROLE %I NOLOGIN', name) FROM unnest(ARRAY['kandle_writer', 'kandle_reader']) name
WHERE to_regrole(name) IS NULL \gexec
CREATE ROLE kandle_sink LOGIN PASSWORD :'sink_password' IN ROLE kandle_writer;
-- The page and the API read tables of schema `kandle` as well as its views, and write nothing.
CREATE ROLE kandle_serve LOGIN PASSWORD :'serve_password' IN ROLE kandle_writer;
ALTER ROLE kandle_serve SET default_transaction_read_only = on;
CREATE ROLE grafana LOGIN PASSWORD :'grafana_password' IN ROLE kandle_reader;
