-- Groups of rights, without login: kandle_owner, kandle_writer (sinks), kandle_reader (dashboards: the views). Logins
-- of your own become members. They are the server's, not the database's, so they may be there already.

CREATE FUNCTION kandle.make_roles() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['kandle_owner', 'kandle_writer', 'kandle_reader'] LOOP
        CONTINUE WHEN to_regrole(wanted) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL; -- made in another database meanwhile
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role % cannot be made: %; let an administrator CREATE ROLE it, rights are given at the next start',
                    wanted, SQLERRM USING ERRCODE = 'KA001';
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION kandle.make_roles IS 'Make the groups of rights that are missing, or warn that this login may not';

CREATE FUNCTION kandle.give_rights() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ours text := (SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
                  WHERE c.relnamespace = 'kandle'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition);
    written text := (SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
                     WHERE c.relnamespace = 'kandle'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                       AND c.relname NOT IN ('migrations', 'time_tables', 'audit_log'));
    shown text := (SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
                   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
                     AND c.relowner = (SELECT nspowner FROM pg_namespace WHERE nspname = 'kandle')
                     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'));
BEGIN
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA kandle FROM PUBLIC;
    IF to_regrole('kandle_owner') IS NOT NULL THEN
        EXECUTE format('GRANT ALL ON %s TO kandle_owner', ours);
        GRANT ALL ON SCHEMA kandle, public TO kandle_owner;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kandle TO kandle_owner;
    END IF;
    IF to_regrole('kandle_writer') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA kandle, public TO kandle_writer;
        EXECUTE format('GRANT SELECT ON %s TO kandle_writer', ours);
        EXECUTE format('GRANT SELECT ON %s TO kandle_writer', shown);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO kandle_writer', written);
        GRANT INSERT ON kandle.audit_log TO kandle_writer;
        GRANT INSERT ON kandle.audit_log TO kandle_writer;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA kandle TO kandle_writer;
    END IF;
    IF to_regrole('kandle_reader') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA public TO kandle_reader;
        EXECUTE format('GRANT SELECT ON %s TO kandle_reader', shown);
    END IF;
END
$$;
COMMENT ON FUNCTION kandle.give_rights IS 'Give the groups their rights on all that is there; run after every change of tables or views';

SELECT kandle.make_roles();
